"""What browsers load: the dashboard, the API reference, and files of any length.

dashboard  its files, and the cookie that carries its session
docs       Swagger UI over our own OpenAPI document
csv_rows   rows for a spreadsheet
files      a file of any length sent piece by piece, until the client leaves; one of the package, compressed

The dashboard's sources and their bundling are in service/dashboard/; it uses the same API as any other client.
Swagger UI, vendored, is in service/docs/.
"""
