package command

import (
	"os"
	"slices"
	"strings"
)

// SigningKeyVariable holds the key that signs upgrades, for our own process alone.
const SigningKeyVariable = "FLYDEPLOY_SIGNING_KEY"

// Environ is our environment as the programs that we start get it: without the key that signs.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, SigningKeyVariable+"=") })
}
