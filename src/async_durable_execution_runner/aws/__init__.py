"""Lambda itself, through boto3: the calls to it, and how its histories are read."""
