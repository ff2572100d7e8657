package cli

import (
	"fmt"
	"strings"

	"flydeploy/engine"
)

// confirmName asks on the terminal for the app's name; yes answers beforehand.
func confirmName(app string, yes bool, question string) error {
	if yes {
		return nil
	}
	if !canRepaint() {
		return usage("without a terminal nobody can confirm this: give --yes")
	}
	fmt.Printf("%s\nType the app's name (%s) to go on: ", question, app)
	var typed string
	_, _ = fmt.Scanln(&typed)
	if strings.TrimSpace(typed) != app {
		return ended{engine.OutcomeCancelled}
	}
	return nil
}
