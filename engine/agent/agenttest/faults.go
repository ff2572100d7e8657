package agenttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"flydeploy/engine"
)

// Output is what an exec prints.
type Output = engine.Output

// errUnknownOutcome marks an error after which the request may have been carried out.
var errUnknownOutcome = engine.ErrUnknownOutcome

// unanswered is the error of a call whose answer did not come, for a reason.
func unanswered(c Call, why error) error {
	if c.Kind.IsExec() || c.Kind == CreateTemporary || c.Kind == Destroy || c.Kind == TakeLease {
		return fmt.Errorf("%s: %w: %w", what(c), errUnknownOutcome, why)
	}
	return fmt.Errorf("%s: %w", what(c), why)
}

func what(c Call) string {
	if c.Machine == "" {
		return string(c.Kind)
	}
	return fmt.Sprintf("%s on machine %s", c.Kind, c.Machine)
}

// Fail answers with an error; nothing was carried out.
func Fail(err error) Hook {
	return func(_ context.Context, c Call, _ func() Answer) Answer {
		return Answer{Err: fmt.Errorf("%s: %w", what(c), err)}
	}
}

// Errors that the platform gives.
var (
	errReset = errors.New("connection reset by peer")
	errCut   = errors.New("408 the command was cut after its time")
	errAPI   = errors.New("500 internal server error")
)

// LoseRequest keeps the request from arriving; the console cannot know that.
func LoseRequest(_ context.Context, c Call, _ func() Answer) Answer {
	return Answer{Err: unanswered(c, errReset)}
}

// LoseAnswer carries the request out and loses its answer.
func LoseAnswer(_ context.Context, c Call, carryOut func() Answer) Answer {
	carryOut()
	return Answer{Err: unanswered(c, errReset)}
}

// Hang keeps the request from arriving, and answers only when the call's context or the exec's time ends; the platform's answer
// to the latter is 408.
func Hang(ctx context.Context, c Call, _ func() Answer) Answer {
	<-ctx.Done()
	return Answer{Err: ended(ctx, c)}
}

// HangAfter carries the request out; its answer is as Hang's.
func HangAfter(ctx context.Context, c Call, carryOut func() Answer) Answer {
	carryOut()
	<-ctx.Done()
	return Answer{Err: ended(ctx, c)}
}

func ended(ctx context.Context, c Call) error {
	if cause := context.Cause(ctx); errors.Is(cause, errCut) {
		return unanswered(c, errCut)
	}
	return unanswered(c, ctx.Err())
}

// Delay lets the request arrive later.
func Delay(d time.Duration) Hook {
	return func(ctx context.Context, c Call, carryOut func() Answer) Answer {
		if pause(ctx, d) != nil {
			return Answer{Err: ended(ctx, c)}
		}
		return carryOut()
	}
}

// DelayAnswer carries the request out at once, and answers later.
func DelayAnswer(d time.Duration) Hook {
	return func(ctx context.Context, c Call, carryOut func() Answer) Answer {
		a := carryOut()
		if pause(ctx, d) != nil {
			return Answer{Err: ended(ctx, c)}
		}
		return a
	}
}

// Say answers an exec with a text instead of carrying it out.
func Say(out Output) Hook {
	return func(context.Context, Call, func() Answer) Answer { return Answer{Out: out} }
}

// NodeDown is what bin/NAME rpc says of a VM that it cannot reach.
func NodeDown(context.Context, Call, func() Answer) Answer { return Answer{Out: nodeDown} }

var nodeDown = Output{Stderr: "** (ErlangError) Erlang error: :nodedown: RPC failed with reason :nodedown\n", ExitCode: 1}

// Silent carries an exec out, and its output is lost: exit code 0, and nothing else.
func Silent(_ context.Context, _ Call, carryOut func() Answer) Answer {
	if a := carryOut(); a.Err != nil {
		return a
	}
	return Answer{}
}

// Truncate carries an exec out, and only the first bytes of its output arrive.
func Truncate(bytes int) Hook {
	return func(_ context.Context, _ Call, carryOut func() Answer) Answer {
		a := carryOut()
		a.Out.Stdout = a.Out.Stdout[:min(bytes, len(a.Out.Stdout))]
		return a
	}
}

// Outage answers 500 for a time that begins with the first call; nothing is carried out meanwhile.
func Outage(lasts time.Duration) Hook {
	var once sync.Once
	var end time.Time
	return func(_ context.Context, c Call, carryOut func() Answer) Answer {
		once.Do(func() { end = time.Now().Add(lasts) })
		if time.Now().Before(end) {
			return Answer{Err: unanswered(c, errAPI)}
		}
		return carryOut()
	}
}

// Before does something before the call is carried out.
func Before(do func()) Hook {
	return func(_ context.Context, _ Call, carryOut func() Answer) Answer {
		do()
		return carryOut()
	}
}

// After does something between the effect of a call and its answer.
func After(do func()) Hook {
	return func(_ context.Context, _ Call, carryOut func() Answer) Answer {
		a := carryOut()
		do()
		return a
	}
}
