"""What local runs keep on disk: execution records, S3 as a folder, and model packages."""
