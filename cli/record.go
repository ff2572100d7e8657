package cli

import (
	"github.com/spf13/cobra"

	"flydeploy/engine/target"
)

// recordSettings are those of a command that reads the fleet, or what the bucket records, and prints it.
type recordSettings struct {
	appSettings
	output string
}

func (r *recordSettings) register(cmd *cobra.Command) {
	r.appSettings.register(cmd)
	cmd.Flags().StringVarP(&r.output, "output", "o", "plain", "plain or json")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if r.output != string(outputPlain) && r.output != string(outputJSON) {
			return usage("--output is plain or json, not %q", r.output)
		}
		return nil
	}
}

func (r *recordSettings) json() bool { return r.output == string(outputJSON) }

// spectatorSettings are those of a command that shows a deploy which it cannot change.
type spectatorSettings struct {
	appSettings
	screenSettings
}

func (s *spectatorSettings) register(cmd *cobra.Command) {
	s.appSettings.register(cmd)
	s.registerOutput(cmd)
	s.screenSettings.register(cmd)
}

// chooseOutput is that of a screen on which nothing is asked: what is accessible are plain lines.
func (s *spectatorSettings) chooseOutput(cmd *cobra.Command) (output, error) {
	s.readFile(cmd)
	if err := s.screenSettings.check(); err != nil {
		return "", err
	}
	out, err := s.screenSettings.chooseOutput(false)
	if out == outputConsole && s.accessible {
		out = outputPlain
	}
	return out, err
}

// withRecord runs work on the app's storage.
func withRecord(cmd *cobra.Command, app appSettings, work func(*connection, *target.Target) error) error {
	if _, err := app.load(cmd); err != nil {
		return err
	}
	c, err := connect(app)
	if err != nil {
		return err
	}
	c.tell = tellOn(cmd)
	target, err := c.storage(cmd.Context())
	if err != nil {
		return err
	}
	return work(c, target)
}
