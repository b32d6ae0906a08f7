"""`python -m service` is the command `token-service`."""

from service.cli import main

if __name__ == "__main__":
    main()
