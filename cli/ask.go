package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/tui/prompt"
)

// confirmName has the app's name typed before something is changed that cannot be undone. yes answers beforehand.
func confirmName(cmd *cobra.Command, app string, yes bool, question string) error {
	if yes {
		return nil
	}
	if !onTerminal() {
		return usage("without a terminal nobody can confirm this: give --yes")
	}
	out := cmd.OutOrStdout()
	if _, err := fmt.Fprintf(out, "%s\nType the app's name (%s) to go on: ", question, app); err != nil {
		return err
	}
	lines, stop := prompt.Lines(cmd.InOrStdin())
	defer stop()
	select {
	case typed, ok := <-lines:
		if typed == app {
			return nil
		} else if ok {
			return notConfirmed("that is not the app's name: nothing was changed")
		}
	case <-cmd.Context().Done():
	}
	fmt.Fprintln(out)
	return notConfirmed("nothing was changed")
}

func notConfirmed(text string) error { return failed{errors.New(text), engine.OutcomeCancelled} }
