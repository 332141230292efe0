"""The AWS API over HTTP: what boto3, the AWS CLI and the SDKs' own clients ask of Lambda.

Routes, the parsing and checking of requests and the form of answers all come from the service
model that botocore ships; a member that AWS adds is there with the next botocore. Here is
nothing of executions: what an operation does is its `Service`'s, which the coordinator brings.

Imported by the coordinator when somebody asks for the API, and not before.
"""
