package deploy

import (
	"context"

	"flydeploy/engine"
	"flydeploy/engine/record"
)

// Deployment is a deploy that runs in the background.
type Deployment struct {
	feed    *record.Feed
	answers chan engine.Answer
	stop    context.CancelFunc
	hurry   context.CancelFunc
	done    chan struct{}
	result  engine.Result
}

// Next waits for events and gives all that are there; io.EOF after the last one. It has one reader at a time.
func (d *Deployment) Next(ctx context.Context) ([]engine.Event, error) { return d.feed.Next(ctx) }

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

// Result gives the end of the deploy; it waits for it.
func (d *Deployment) Result() engine.Result {
	<-d.done
	return d.result
}
