package elixir

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// systemFile has the only list of OTP's and Elixir's applications.
const systemFile = "agent/release.ex"

var systemLists = regexp.MustCompile(`(?s)@otp ~w\((.*?)\)a\n.*@elixir ~w\((.*?)\)a\n`)

// SystemApplications gives the names of OTP's and Elixir's own applications, which no upgrade brings, as FlyDeployAgent.Release has them.
func SystemApplications() ([]string, error) { return systemApplications() }

var systemApplications = sync.OnceValues(func() ([]string, error) {
	text, err := Files.ReadFile(systemFile)
	if err != nil {
		return nil, err
	}
	lists := systemLists.FindSubmatch(text)
	if lists == nil {
		return nil, fmt.Errorf("%s has no list of OTP's and Elixir's applications", systemFile)
	}
	return strings.Fields(string(lists[1]) + " " + string(lists[2])), nil
})
