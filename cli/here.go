package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"flydeploy/cli/demo"
	"flydeploy/engine"
	"flydeploy/fly"
)

// ownFly is a Fly on this computer, which ends with this process.
type ownFly interface {
	APIURL() string
	Token() string
}

// connectHere reaches it as any other: by base URL and token.
func connectHere(f ownFly, app appSettings, build engine.Build, signals *interrupts) (*connection, error) {
	fleet, err := fly.New(fly.Options{App: app.name, Token: f.Token(), BaseURL: f.APIURL(), PlatformURL: f.APIURL(), UserAgent: "flydeploy/" + version})
	if err != nil {
		return nil, err
	}
	return &connection{app: app, fleet: fleet, passing: true, build: build, signals: signals}, nil
}

const optionIsolation = "isolation"

func registerIsolation(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, optionIsolation, string(demo.Isolations[0]), "how machines run: auto, namespaces or processes")
}

func checkIsolation(given string) error {
	if !slices.Contains(words(demo.Isolations), given) {
		return usage("--isolation is auto, namespaces or processes, not %q", given)
	}
	return nil
}
