// Package cli is the command line: one command a file, and what they share.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"flydeploy/engine"
)

// exitUsage is the exit code for a wrong option or argument.
const exitUsage = 2

// exitUnread is the exit code of a command whose output was not read to its end: what a shell shows for SIGPIPE.
const exitUnread = 128 + int(syscall.SIGPIPE)

// Main runs the command line of the process, and gives its exit code.
func Main() int {
	saveMemory()
	signals := newInterrupts()
	stderr := signals.bound(os.Stderr)
	root := rootCommand(signals)
	root.SetArgs(withValues(root, os.Args[1:]))
	root.SetOut(signals.bound(os.Stdout))
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(signals.listen())
	return exitCode(stderr, cmd.CommandPath(), err)
}

// ended is an outcome that was shown already: only its exit code remains.
type ended struct{ outcome engine.Outcome }

func (e ended) Error() string { return string(e.outcome) }

// failed is an error with an exit code of its own.
type failed struct {
	error
	outcome engine.Outcome
}

// usageError marks errors that the command line caused.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode prints an error of command, such as "flydeploy hot", unless it was shown already, and gives the process's exit code.
func exitCode(stderr io.Writer, command string, err error) int {
	var end ended
	var wrong usageError
	var fault failed
	switch {
	case err == nil:
		return 0
	case errors.As(err, &end):
		return end.outcome.ExitCode()
	case errors.As(err, &wrong):
		complain(stderr, err, "\nSee `"+command+" --help`.")
		return exitUsage
	case errors.As(err, &fault):
		complain(stderr, err, "")
		return fault.outcome.ExitCode()
	case isUnread(err):
		return exitUnread
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "flydeploy: cancelled")
		return engine.OutcomeCancelled.ExitCode()
	default:
		complain(stderr, engine.AsProblem(err), "") // with what to do about it
		return engine.OutcomeFailed.ExitCode()
	}
}

// complain prints an error. Its text may hold words of Fly's API, of the storage, or of what is stored there.
func complain(stderr io.Writer, err error, more string) {
	fmt.Fprintln(stderr, "flydeploy: "+indented(err.Error())+more)
}

// isUnread reports whether the reader of our output has closed it: they have seen enough.
func isUnread(err error) bool {
	var of *fs.PathError
	return errors.As(err, &of) && of.Path == os.Stdout.Name() && errors.Is(err, syscall.EPIPE)
}

// Command is the command line for manuals and completions: it listens to no signals.
func Command() *cobra.Command { return rootCommand(newInterrupts()) }

func rootCommand(signals *interrupts) *cobra.Command {
	d := defaultDeploy()
	root := &cobra.Command{
		Use:   "flydeploy",
		Short: "Upgrade Elixir apps on Fly.io while they run",
		Long: `flydeploy upgrades the code of an Elixir application on its Fly Machines while it runs:
no restart, no lost state, processes suspended for milliseconds.

Without a command it opens the console on the app of ./fly.toml: look at the fleet,
mark machines, and deploy with a plan and a confirmation before anything is suspended.`,
		Example: `  flydeploy                    # the console
  flydeploy hot                # build and upgrade every machine
  flydeploy hot --dry-run      # only the plan
  flydeploy demo               # try it on this computer, on real BEAM machines`,
		Args:          d.passOn,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return openConsole(cmd, d, signals)
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	d.register(root)
	root.AddCommand(hotCommand(signals), planCommand(signals), statusCommand(), doctorCommand(), demoCommand(signals), rehearseCommand(signals), agentCommand(),
		historyCommand(), replayCommand(), watchCommand(), lockCommand(), withdrawCommand(), confirmCommand(signals), keygenCommand())
	explainUsage(root)
	completeValues(root)
	return root
}

// explainUsage marks errors in the arguments of a command and its subcommands as wrong usage.
func explainUsage(c *cobra.Command) {
	for _, below := range c.Commands() {
		explainUsage(below)
	}
	args := c.Args
	c.Args = func(cmd *cobra.Command, words []string) error {
		if err := args(cmd, words); err != nil {
			return usageError{err}
		}
		return nil
	}
}
