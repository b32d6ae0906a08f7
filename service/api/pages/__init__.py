"""What browsers load: the dashboard and the API reference.

dashboard  its files, and the cookie that carries its session
docs       Swagger UI over our own OpenAPI document

The dashboard's sources and their bundling are in service/dashboard/; it uses the same API as any other client.
Swagger UI, vendored, is in service/docs/.
"""
