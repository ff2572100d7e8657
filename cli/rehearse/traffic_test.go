package rehearse

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flydeploy/engine"
)

// echoes is a machine that says its name to each who connects, and then repeats what it hears to its end.
func echoes(t *testing.T, name string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				heard, _ := io.ReadAll(conn)
				_, _ = io.WriteString(conn, name+" "+string(heard))
			}()
		}
	}()
	return listener.Addr().String()
}

// say connects to an address, says something, and gives the answer.
func say(t *testing.T, url, says string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, says)
	answer, readErr := io.ReadAll(errorsJoined{conn, errors.Join(err, conn.(*net.TCPConn).CloseWrite())})
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(answer)
}

type errorsJoined struct {
	io.Reader
	err error
}

func (e errorsJoined) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	return e.Reader.Read(p)
}

// The first address leads to all machines in turn, also past one that is down; the others each to one.
func TestPortsLeadToMachines(t *testing.T) {
	at := map[string]string{"a": echoes(t, "a"), "b": echoes(t, "b")}
	p, err := openPorts([]string{"a", "down", "b"}, 8080, func(ctx context.Context, machine string, port int) (net.Conn, error) {
		if at[machine] == "" || port != 8080 {
			return nil, errors.New("connection refused")
		}
		return new(net.Dialer).DialContext(ctx, "tcp", at[machine])
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	var heard []string
	for range 6 {
		heard = append(heard, say(t, p.url(), "hello"))
	}
	slices.Sort(heard)
	if heard = slices.Compact(heard); !slices.Equal(heard, []string{"a hello", "b hello"}) {
		t.Errorf("%q", heard)
	}
	each := strings.Fields(p.urls())
	if len(each) != 3 || say(t, each[0], "x") != "a x" || say(t, each[2], "y") != "b y" {
		t.Errorf("%q", each)
	}
	if answer := say(t, each[1], ""); answer != "" {
		t.Errorf("the machine that is down says %q", answer)
	}
}

func TestPortsThatCloseEndConnections(t *testing.T) {
	at := echoes(t, "a")
	p, err := openPorts([]string{"a"}, 8080, func(ctx context.Context, _ string, _ int) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", at)
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.close() // returns, though the connection was open
	if _, err := io.ReadAll(conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

// runTraffic runs a command as a rehearsal does, and stops it once it has printed "up", unless it ends by itself before.
func runTraffic(t *testing.T, line string) (*traffic, error) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	tr := &traffic{ended: make(chan struct{}), log: log, path: log.Name(), ports: &ports{end: func() {}}}
	up := make(chan struct{}, 100)
	tr.run(line, os.Environ(), func(says string) {
		tr.line(says)
		if says == "up" {
			up <- struct{}{}
		}
	})
	select {
	case <-up:
	case <-tr.ended:
	}
	return tr, tr.stop()
}

// A command that has failed is a failure whenever that was, one that our interrupt has ended is none.
func TestTheEndOfTraffic(t *testing.T) {
	for name, test := range map[string]struct {
		line  string
		early bool
		fails string // "" for no failure
	}{
		"all the while":          {`while echo up; do sleep 0.1; done`, false, ""},
		"ends well when asked":   {`trap 'exit 0' INT; while echo up; do sleep 0.1; done`, false, ""},
		"fails when asked":       {`trap 'echo 3 requests failed; exit 4' INT; while echo up; do sleep 0.1; done`, false, "exit status 4"},
		"early":                  {`echo done`, true, ""},
		"fails early":            {`echo connection refused; exit 7`, true, "exit status 7"},
		"killed by somebody":     {`kill -9 $$`, true, "killed"},
		"interrupts itself":      {`kill -INT $$`, true, "interrupt"},
		"a program that is none": {`flydeploy-no-such-program`, true, "127"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, err := runTraffic(t, test.line)
			if tr.early != test.early || (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("early: %t, %v", tr.early, err)
			}
			if again := tr.stop(); (again == nil) != (err == nil) {
				t.Errorf("asked again: %v", again)
			}
			if err != nil {
				problemOf(t, err, "traffic_failed", tr.path)
			}
		})
	}
}

// Its output is in the log, and its last lines in the error, without what looks like a token.
func TestTheLogOfTraffic(t *testing.T) {
	tr, err := runTraffic(t, `for i in 1 2 3 4 5 6 7 8 9 10 11; do echo line $i; done; echo fo1_AbCd0123; exit 1`)
	p := engine.AsProblem(err)
	if p == nil || strings.Contains(p.What, "line 2\n") || !strings.Contains(p.What, "line 11\n") || !strings.HasSuffix(p.What, "[redacted]") {
		t.Errorf("%v", p)
	}
	body, err := os.ReadFile(tr.path)
	if err != nil || !strings.HasPrefix(string(body), "line 1\nline 2\n") {
		t.Errorf("%s, %v", body, err)
	}
}

func TestHowARehearsalHasEnded(t *testing.T) {
	ended := func(err error) *traffic {
		tr := &traffic{ended: make(chan struct{}), err: err, end: func() {}, ports: &ports{end: func() {}}}
		close(tr.ended)
		return tr
	}
	failing := exec.Command("sh", "-c", "exit 3").Run()
	for name, test := range map[string]struct {
		upgrade, back engine.Outcome
		traffic       *traffic
		want          engine.Outcome
		says          string
	}{
		"both ways":        {engine.OutcomeSucceeded, engine.OutcomeSucceeded, nil, engine.OutcomeSucceeded, "succeeded; the upgrade succeeded, taking it back succeeded"},
		"blocked":          {engine.OutcomeBlocked, "", nil, engine.OutcomeBlocked, "blocked; the upgrade blocked"},
		"nothing to do":    {engine.OutcomeSucceeded, "", nil, engine.OutcomeSucceeded, "nothing to take back"},
		"no way back":      {engine.OutcomeSucceeded, engine.OutcomePartial, nil, engine.OutcomePartial, "taking it back partial"},
		"traffic":          {engine.OutcomeSucceeded, engine.OutcomeSucceeded, ended(nil), engine.OutcomeSucceeded, "ended early"},
		"traffic fails":    {engine.OutcomeSucceeded, engine.OutcomeSucceeded, ended(failing), engine.OutcomeFailed, "the traffic failed"},
		"both have failed": {engine.OutcomeUnhealthy, "", ended(failing), engine.OutcomeUnhealthy, "the traffic failed"},
	} {
		r := &Rehearsal{options: Options{Machines: 2}, old: release{version: "1"}, new: release{version: "2"}, traffic: test.traffic}
		got := r.Judge(test.upgrade, test.back)
		if got.Outcome != test.want || !strings.Contains(got.String(), test.says) || (got.Problem != nil) != (test.traffic != nil && test.traffic.err != nil) {
			t.Errorf("%s: %s, %+v", name, got, got.Problem)
		}
	}
}
