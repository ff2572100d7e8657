package deploy

import (
	"context"
	"errors"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/record"
)

var (
	errStopped  = engine.NewProblem(engine.ProblemStopped, "stopped by the operator", nil, "")
	errDeclined = engine.NewProblem(engine.ProblemDeclined, "the plan was not confirmed", nil, "")
	// errPlanned ends a dry run after its plan.
	errPlanned  = errors.New("dry run")
	errNoAnswer = errors.New("no answer")
)

// Deployment is a deploy that runs in the background. Its methods may be called from any goroutine.
type Deployment struct {
	feed    *record.Feed
	rec     *record.Recorder
	answers chan engine.Answer
	stop    context.CancelFunc
	hurry   context.CancelFunc
	done    chan struct{}
	result  engine.Result
}

// Next waits for events and gives all that there are; io.EOF after the last one. It is for one reader at a time: if that one is
// slow, newer states replace older ones.
func (d *Deployment) Next(ctx context.Context) ([]engine.Event, error) { return d.feed.Next(ctx) }

// Recorded gives every event unmerged, as the record in the bucket holds them. Each call gives a new reader.
func (d *Deployment) Recorded() engine.Source { return d.rec.Stream() }

// Answer answers the deploy's question. It never blocks: a newer answer replaces one that was not read yet.
func (d *Deployment) Answer(a engine.Answer) {
	for {
		select {
		case d.answers <- a:
			return
		default:
		}
		select {
		case <-d.answers:
		default:
		}
	}
}

// Stop keeps the deploy from starting anything more. It lets what is in flight end, and then settles agents, temporary machine
// and lock.
func (d *Deployment) Stop() { d.stop() }

// Hurry stops the deploy and bounds the rest to about eight seconds. What has not answered by then is left to end by itself; if
// the end of a machine was not seen, the lock stays until it expires.
func (d *Deployment) Hurry() {
	d.stop()
	d.hurry()
}

// Settled gives the result of the deploy without waiting; false while it is under way.
func (d *Deployment) Settled() (engine.Result, bool) {
	select {
	case <-d.done:
		return d.result, true
	default:
		return engine.Result{}, false
	}
}

// Result waits for the end of the deploy and gives its result.
func (d *Deployment) Result() engine.Result {
	<-d.done
	return d.result
}

// askAlone is ask for a question that everything waits for: that time is counted.
func (j *job) askAlone(ctx context.Context, question engine.Question, within time.Duration) (engine.Answer, error) {
	defer j.waitedSince(time.Now())
	return j.ask(ctx, question, within)
}

// waitedSince counts that the deploy has waited for its operator since a time.
func (j *job) waitedSince(t time.Time) { j.waited.Add(int64(time.Since(t))) }

// ask waits for the operator's answer to a question; errNoAnswer if none has come in time.
func (j *job) ask(ctx context.Context, question engine.Question, within time.Duration) (engine.Answer, error) {
	timer := time.NewTimer(max(within, time.Second))
	defer timer.Stop()
	for {
		select {
		case a := <-j.answers:
			if a.To == question {
				return a, nil
			}
		case <-timer.C:
			return engine.Answer{}, errNoAnswer
		case <-ctx.Done():
			return engine.Answer{}, context.Cause(ctx)
		}
	}
}
