package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/examples/counter"
)

// A machine that is gone after the deploy is told in its entry; the result comes all the same.
func TestTheDemoJudgesMachinesThatAreGone(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	traffic, err := counter.StartTraffic(t.Context(), nil, counter.DefaultLoad)
	if err != nil {
		t.Fatal(err)
	}
	d := &Demo{traffic: traffic, clients: map[string]*counter.Client{"m1": counter.NewClient(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", gone.Addr().String())
	})}}
	result := d.Judge(t.Context(), engine.Result{
		Type: "result", Outcome: engine.OutcomeSucceeded, Machines: []engine.MachineResult{{ID: "m1", Outcome: "committed"}},
	})
	line, err := json.Marshal(result)
	if err != nil || !strings.Contains(string(line), `"problems":["it does not answer after the deploy`) || !strings.Contains(string(line), `"type":"result"`) {
		t.Errorf("%s, %v", line, err)
	}
	if err := result.Check(); err == nil || !strings.Contains(err.Error(), "m1") {
		t.Errorf("the end is %v", err)
	}
	var out bytes.Buffer
	if err := result.Print(&out); err != nil || !strings.Contains(out.String(), "m1: it does not answer") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// Without a window there is nothing that traffic could have missed.
func TestTheDemoWithoutAWindow(t *testing.T) {
	var out bytes.Buffer
	result := Result{Result: engine.Result{Outcome: engine.OutcomeCancelled}}
	if err := result.Print(&out); err != nil || !strings.Contains(out.String(), "no process was suspended") || strings.Contains(out.String(), "false") {
		t.Errorf("%v\n%s", err, out.String())
	}
	result.windows = 2
	out.Reset()
	if err := result.Print(&out); err != nil || !strings.Contains(out.String(), "in every window: false") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
