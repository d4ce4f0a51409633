import click


@click.command()
def markout():
    pass
