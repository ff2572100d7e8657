package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/tui/plain"
)

// recordFlags are the options of the commands that read the bucket's record.
type recordFlags struct {
	deployFlags
}

func (f *recordFlags) register(cmd *cobra.Command) {
	f.deployFlags.appFlags.register(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "plain", "plain or json")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if f.output != string(outputPlain) && f.output != string(outputJSON) {
			return usage("--output is plain or json, not %q", f.output)
		}
		return nil
	}
}

// registerShow declares the options of the commands that show a deploy, in the console too.
func (f *recordFlags) registerShow(cmd *cobra.Command) {
	f.deployFlags.appFlags.register(cmd)
	f.registerOutput(cmd)
	f.registerScreen(cmd)
}

// inConsole reports whether the console shows the deploy; else the output that was chosen says how.
func (f *recordFlags) inConsole() (bool, error) {
	if err := f.checkTheme(); err != nil {
		return false, err
	}
	out, err := chooseOutput(&f.deployFlags)
	if out == outputConsole {
		f.output = string(outputPlain)
		return !f.accessible, err // nothing is asked here: plain lines are accessible
	}
	f.output = string(out)
	return false, err
}

// withRecord runs work on the app's storage.
func withRecord(cmd *cobra.Command, flags recordFlags, work func(*connection, *engine.Target) error) error {
	s, err := readSettings(cmd, flags.deployFlags)
	if err != nil {
		return err
	}
	c, err := connect(s)
	if err != nil {
		return err
	}
	c.tell = tellOnStderr
	target, err := c.storage(cmd.Context())
	if err != nil {
		return err
	}
	return work(c, target)
}

// encode writes one object on a line, as the lines of events are written.
func encode(w io.Writer, v any) error {
	return plain.Encode(w, v)
}

// spectator shows a deploy that it cannot change: one that another console runs, or a past one.
type spectator struct {
	engine.Source
	left   chan struct{}
	result func() (engine.Result, error)
}

func spectate(source engine.Source, result func() (engine.Result, error)) *spectator {
	return &spectator{Source: source, left: make(chan struct{}), result: result}
}

var errLeft = errors.New("left")

// Next implements plain.Deployment. Leaving ends the watching, not the deploy.
func (s *spectator) Next(ctx context.Context) ([]engine.Event, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-s.left:
			cancel(errLeft)
		case <-ctx.Done():
		}
	}()
	events, err := s.Source.Next(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errLeft) {
		err = errLeft
	}
	cancel(nil)
	<-watching
	return events, err
}

// Answer implements plain.Deployment: the owner answers.
func (s *spectator) Answer(engine.Answer) {}

// Stop implements plain.Deployment.
func (s *spectator) Stop() {
	select {
	case <-s.left:
	default:
		close(s.left)
	}
}

// Hurry implements plain.Deployment.
func (s *spectator) Hurry() { s.Stop() }

// Result implements plain.Deployment.
func (s *spectator) Result() engine.Result {
	r, err := s.result()
	if err != nil {
		r.Problem = engine.AsProblem(err)
	}
	return r
}

// confirmName asks on the terminal for the app's name; yes answers beforehand.
func confirmName(app string, yes bool, question string) error {
	if yes {
		return nil
	}
	if !isTerminal() {
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
