package rehearse

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/fly/local"
	"flydeploy/text"
)

const (
	// bootedSays is what a VM says that has started all applications of its release.
	bootedSays = "flydeploy: booted"
	bootedAsk  = `if elem(:init.get_status(), 0) == :started, do: IO.puts("` + bootedSays + `")`
	// askWithin bounds one question, and askEvery is the time between two.
	askWithin = 20 * time.Second
	askEvery  = 500 * time.Millisecond
	// logShown is how many of a machine's last lines are shown where it did not boot.
	logShown = 20
)

// boot makes the machines, and waits for each. The first that does not boot ends it.
func (r *Rehearsal) boot(ctx context.Context, fleet engine.Fleet, spec local.MachineSpec) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ids := make(chan string, r.options.Machines)
	err := r.fly.Spread(ctx, r.options.Machines, spec, func(ctx context.Context, id string) error {
		ids <- id
		err := r.awaitBoot(ctx, fleet, id)
		if err != nil {
			stop(err)
		}
		return err
	})
	close(ids)
	for id := range ids {
		r.machines = append(r.machines, id)
	}
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// awaitBoot waits until the release has booted on a machine: until its VM says that it has started every application.
func (r *Rehearsal) awaitBoot(ctx context.Context, fleet engine.Fleet, id string) error {
	within, cancel := context.WithTimeout(ctx, r.options.Boot)
	defer cancel()
	for {
		if code, ended := r.fly.Ended(id); ended {
			return r.notBooted(id, fmt.Sprintf("%s ended with exit status %d while it booted", r.old.name, code))
		}
		out, err := fleet.Exec(within, id, []string{r.options.Root + "/bin/" + r.old.name, "rpc", bootedAsk}, "", askWithin)
		if err == nil && strings.Contains(out.Stdout, bootedSays) {
			return nil
		}
		select {
		case <-time.After(askEvery):
		case <-within.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return r.notBooted(id, fmt.Sprintf("%s has not booted within %s", r.old.name, text.Time(r.options.Boot)))
		}
	}
}

// notBooted says what the machine has printed, and what it may lack.
func (r *Rehearsal) notBooted(id, what string) error {
	says := r.printed(id)
	remedy := "Give what it needs with --env-file, as `fly secrets` has it, or more time with --boot-timeout."
	if found := lacksVariable.FindStringSubmatch(says); found != nil {
		remedy = "It asks for " + found[1] + ": put a line " + found[1] + "=VALUE into the file of --env-file, as `fly secrets` has it."
	}
	if r.fly.Isolation() == local.Namespaces {
		remedy += " Machines have a network of their own, which leads nowhere: --isolation processes lets a release reach a database on this computer."
	}
	return engine.NewProblem("boot_failed", fmt.Sprintf("machine %s: %s; it has printed:\n%s", id, what, telling(says)), nil, remedy)
}

// lacksVariable is how Elixir says that one is missing, and how config/runtime.exs does that `mix phx.new` makes.
var lacksVariable = regexp.MustCompile(`environment variable "?([A-Z][A-Z0-9_]*)"?`)

// unreached is the line in which Ecto's drivers (db_connection) say that there is no database. The application has booted all the same.
var unreached = regexp.MustCompile(`(?m)^.*\bfailed to connect: .*$`)

// tellUnreached says so where the release does not reach its database.
func (r *Rehearsal) tellUnreached() {
	for _, id := range r.machines {
		says := unreached.FindString(r.printed(id))
		if says == "" {
			continue
		}
		remedy := "Start one that --env-file names."
		if r.fly.Isolation() == local.Namespaces {
			remedy = "With --isolation processes it reaches one on this computer."
		}
		r.tell("machine " + id + " does not reach its database, and what needs it fails: " + text.Shorten(text.Line(says), widest) + "\n  → " + remedy)
		return // the others are alike
	}
}

// Ended tells of the machines whose VM has ended by itself, with what they have printed last; "" where none has.
func (r *Rehearsal) Ended() string {
	var says []string
	for _, id := range r.machines {
		if code, ended := r.fly.Ended(id); ended {
			says = append(says, fmt.Sprintf("machine %s: the VM ended with exit status %d; it has printed:\n%s", id, code, telling(r.printed(id))))
		}
	}
	return strings.Join(says, "\n")
}

// printed is a machine's log, without secrets of the environment's file and of the image.
func (r *Rehearsal) printed(id string) string {
	return withoutBytes(r.old.image.secrets().hide(r.options.Env.hide(text.Block(r.fly.Console(id)))))
}

// inBytes is a binary as Erlang's own reports have it, byte by byte: an exception's message, in which no secret is recognized.
var inBytes = regexp.MustCompile(`<<\d+(,\d+){7,}>>`)

func withoutBytes(says string) string { return inBytes.ReplaceAllString(says, "<<…>>") }

const (
	// reasonShown is how many lines are shown of the exception that has ended a boot: Erlang prints many after it.
	reasonShown = 8
	// widest is how much of a line is shown, in characters.
	widest = 300
)

// telling gives the lines of a log that tell most, indented: the last, and before them the first exception.
func telling(says string) string {
	var lines []string
	for line := range strings.Lines(says) {
		if line = strings.TrimRight(line, " \r\n"); line != "" {
			lines = append(lines, "  "+text.Shorten(line, widest))
		}
	}
	first := slices.IndexFunc(lines, isException)
	if beyond := len(lines) - logShown; first < 0 || first >= beyond {
		return strings.Join(lines[max(0, beyond):], "\n")
	}
	shown := slices.Concat(lines[first:first+reasonShown], []string{"  …"}, lines[len(lines)-logShown+reasonShown:])
	return strings.Join(shown, "\n")
}

// isException tells the line in which Elixir names an exception.
func isException(line string) bool { return strings.Contains(line, "** (") }
