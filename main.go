// Command flydeploy upgrades the code of an Elixir application on a fleet of Fly.io Machines while it runs.
package main

import (
	"os"

	"flydeploy/cli"
)

func main() { os.Exit(cli.Main()) }
