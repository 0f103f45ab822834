"""What local runs leave on disk: execution records, S3 as a folder, and model packages."""
