"""What browsers load: the dashboard, the API reference, and files of any length.

dashboard  its files, and the cookie that carries its session
docs       Swagger UI over our own OpenAPI document
csv_rows   rows for a spreadsheet
files      a file of any length sent piece by piece until the client leaves; a compressed file of the package

service/dashboard/ has the dashboard's sources and bundles them; the dashboard uses the same API as any other client.
service/docs/ has the vendored Swagger UI.
"""
