"""What the pipelines need in an AWS account: the CloudFormation stack, the images and their build."""
