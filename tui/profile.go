package tui

import (
	"strings"

	"github.com/charmbracelet/colorprofile"
)

// colorProfile decides where the environment asks for no colour; otherwise the terminal is left to be detected. The
// libraries take NO_COLOR only where it parses as true; https://no-color.org says any value that is not empty.
func colorProfile(environ []string) (colorprofile.Profile, bool) {
	env := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	switch {
	case env["TERM"] == "dumb":
		return colorprofile.NoTTY, true
	case env["NO_COLOR"] != "", env["CLICOLOR"] == "0":
		return colorprofile.ASCII, true
	}
	return colorprofile.Unknown, false
}
