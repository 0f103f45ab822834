"""What the pipelines need in an AWS account: the stack, the images, and the docker command that builds them."""
