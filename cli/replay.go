package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/engine/target"
	"flydeploy/tui/plain"
)

func replayCommand() *cobra.Command {
	var s spectatorSettings
	var speed float64
	cmd := &cobra.Command{
		Use:   "replay FILE|ID",
		Short: "Show a past deploy again",
		Long: `Shows the events of a past deploy: from a file (what --output json printed, or the bucket's events.ndjson), or from the
bucket, by the ID that ` + "`flydeploy history`" + ` lists. In a terminal the console plays them back and forth, at any speed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if speed < 0 {
				return usage("--speed must not be negative")
			}
			out, err := s.chooseOutput(cmd)
			if err != nil {
				return err
			}
			events, result, err := replayed(cmd, s.appSettings, args[0])
			if err != nil {
				return err
			}
			if out == outputConsole {
				return showRecord(cmd.Context(), s, events, result, speed)
			}
			return show(cmd, spectate(record.Replay(events, speed), func() (engine.Result, error) { return result, nil }), out)
		},
	}
	s.register(cmd)
	cmd.Flags().Float64Var(&speed, "speed", 1, "how many times faster than the deploy was; 0 shows all at once; the console has keys for it")
	return cmd
}

// replayed reads a file, or the bucket if there is no file of that name.
func replayed(cmd *cobra.Command, app appSettings, name string) ([]engine.Event, engine.Result, error) {
	body, err := os.ReadFile(name)
	if err == nil {
		return parsed(record.ParseEvents(body))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, engine.Result{}, engine.NewProblem("no_file", "read "+name, err, "Give a file of events, or the ID of a recorded deploy.")
	}
	var events []engine.Event
	var result engine.Result
	err = withRecord(cmd, app, func(_ *connection, t *target.Target) error {
		var end *engine.Result
		events, end, err = record.ReadEvents(cmd.Context(), t.Storage.Records, name)
		switch {
		case err != nil:
		case end != nil:
			result = *end
		default:
			result, err = record.ReadResult(cmd.Context(), t.Storage.Records, name)
		}
		return err
	})
	return events, result, err
}

func parsed(events []engine.Event, result *engine.Result, err error) ([]engine.Event, engine.Result, error) {
	return events, *cmp.Or(result, &engine.Result{Outcome: engine.OutcomeUnfinished}), err
}

// show prints a spectator's events, and the result at the end.
func show(cmd *cobra.Command, s *spectator, out output) error {
	if out == outputJSON {
		if err := spectatorsExit(plain.JSON(cmd.Context(), cmd.OutOrStdout(), s)); err != nil {
			return err
		}
		return plain.Encode(cmd.OutOrStdout(), s.Result())
	}
	if out == outputMarkdown {
		return spectatorsExit(plain.Markdown(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), s))
	}
	err := plain.Lines(cmd.Context(), cmd.OutOrStdout(), s, nil)
	if err == nil {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), plain.Summary(s.Result()))
	}
	return spectatorsExit(err)
}

// spectatorsExit gives the exit of a spectator who has left: the deploy goes on.
func spectatorsExit(err error) error {
	if errors.Is(err, errLeft) {
		return ended{engine.OutcomeCancelled}
	}
	return err
}
