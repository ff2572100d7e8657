package deploy

import (
	"context"
	"errors"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/record"
)

var (
	errStopped  = errors.New("stopped by the operator")
	errDeclined = errors.New("the plan was not confirmed")
	// errPlanned ends a dry run after its plan.
	errPlanned  = errors.New("dry run")
	errNoAnswer = errors.New("nobody answered")
)

// Deployment is a deploy that runs in the background.
type Deployment struct {
	feed    *record.Feed
	rec     *record.Recorder
	answers chan engine.Answer
	stop    context.CancelFunc
	hurry   context.CancelFunc
	done    chan struct{}
	result  engine.Result
}

// Next waits for events and gives all that are there; io.EOF after the last one. It has one reader at a time, for whom a newer
// state takes the place of an older one while it is slow.
func (d *Deployment) Next(ctx context.Context) ([]engine.Event, error) { return d.feed.Next(ctx) }

// Recorded gives every event, none merged, as the record in the bucket holds them. It may have several readers.
func (d *Deployment) Recorded() engine.Source { return d.rec.Stream() }

// Answer answers the question that the deploy asks. A newer answer takes the place of one that nobody has read.
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

// Stop keeps the deploy from starting anything more. What is in flight ends by itself, then everything is settled:
// agents, temporary machine, lock.
func (d *Deployment) Stop() { d.stop() }

// Hurry stops the deploy, and bounds the rest to about eight seconds: what has not answered by then is left to end by
// itself. The lock of a machine whose end was not seen stays until it expires.
func (d *Deployment) Hurry() {
	d.stop()
	d.hurry()
}

// Settled gives the end of the deploy without waiting for it; false while it is under way.
func (d *Deployment) Settled() (engine.Result, bool) {
	select {
	case <-d.done:
		return d.result, true
	default:
		return engine.Result{}, false
	}
}

// Result gives the end of the deploy; it waits for it.
func (d *Deployment) Result() engine.Result {
	<-d.done
	return d.result
}

// ask waits for the operator's answer to the question that the last event asked.
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
