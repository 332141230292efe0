"""Lambda itself, through boto3: what it is asked, and its histories read back."""
