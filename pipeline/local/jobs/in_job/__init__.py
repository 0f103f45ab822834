"""What is put in front of a job's own Python path: it stands for the container's file system."""
