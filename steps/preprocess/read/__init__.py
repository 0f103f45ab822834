"""Raw files to raw rows: compression, JSON arrays, JSON Lines, CSV, Parquet, Arrow."""
