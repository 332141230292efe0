"""The AWS API over HTTP: what boto3, the AWS CLI and the SDKs' own clients ask of Lambda.

Routes, the parsing and checking of requests and the form of answers all come from the service
model that botocore ships; a member that AWS adds is there with the next botocore. This package
knows nothing of executions: the coordinator brings a responder for each operation.

The coordinator imports this package when somebody asks for the API, and not before.
"""
