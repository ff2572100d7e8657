package s3_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/s3"
	"flydeploy/s3/s3test"
)

// A racer is a process of its own: this test binary, with racerEnv set to its orders.
const racerEnv = "FLYDEPLOY_TEST_RACER"

type orders struct {
	Config s3.Config
	Name   string
	// LosesAnswers: the answer to the first PUT of each round is lost, also when it won.
	LosesAnswers bool
}

func TestMain(m *testing.M) {
	if text := os.Getenv(racerEnv); text != "" {
		if err := race(text, os.Stdin, os.Stdout); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// race does what each line says: "acquire N" is answered by "won" or "held ID", "release" by "released".
func race(text string, in io.Reader, out io.Writer) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	lose := false
	if o.LosesAnswers {
		o.Config.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := send(r)
			if err == nil && r.Method == http.MethodPut && lose {
				lose = false
				_ = resp.Body.Close()
				return nil, errCut
			}
			return resp, err
		})
	}
	b, err := s3.Open(context.Background(), o.Config)
	if err != nil {
		return err
	}
	var mine engine.Lock
	for lines := bufio.NewScanner(in); lines.Scan(); {
		word, round, _ := strings.Cut(lines.Text(), " ")
		if word == "release" {
			if err := mine.Release(context.Background()); err != nil {
				return err
			}
			fmt.Fprintln(out, "released")
			continue
		}
		lose = true
		var held *engine.LockHeldError
		mine, err = b.Acquire(context.Background(), o.Name, o.Name+"-"+round, time.Hour, "")
		switch {
		case err == nil:
			fmt.Fprintln(out, "won")
		case errors.As(err, &held):
			fmt.Fprintln(out, "held", held.Held.DeploymentID)
		default:
			return err
		}
	}
	return nil
}

// racer is such a process, as the test sees it.
type racer struct {
	name string
	in   io.WriteCloser
	out  *bufio.Reader
	cmd  *exec.Cmd
}

func startRacer(t *testing.T, c s3.Config, n int) *racer {
	t.Helper()
	r := &racer{name: fmt.Sprintf("racer-%d", n)}
	text, err := json.Marshal(orders{Config: c, Name: r.name, LosesAnswers: n%5 == 0})
	if err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.Command(os.Args[0])
	r.cmd.Env = append(os.Environ(), racerEnv+"="+string(text), "GOMAXPROCS=1")
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.in.Close()
		_ = r.cmd.Wait()
	})
	return r
}

func (r *racer) ask(line string) (string, error) {
	if _, err := fmt.Fprintln(r.in, line); err != nil {
		return "", err
	}
	answer, err := r.out.ReadString('\n')
	return strings.TrimSpace(answer), err
}

// Many processes want the lock at the same moment: exactly one has it, and the others are told who. A fifth of them loses
// the answer to its PUT, and those know the lock for theirs all the same.
func TestManyProcessesOneOwner(t *testing.T) {
	t.Parallel()
	processes, rounds := 6, 3
	if s3test.Long() {
		processes, rounds = 100, 200
	}
	servers := others()
	servers["gofakes3"] = startServer
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			racers := make([]*racer, processes)
			for i := range racers {
				racers[i] = startRacer(t, c, i)
			}
			rounds := rounds
			if name == seaweed {
				rounds = min(rounds, 20) // each takes four times as long as elsewhere
			}
			blind := 0 // rounds that were won by one who lost the answer
			for round := range rounds {
				winner := raceOnce(t, racers, round)
				if winner%5 == 0 {
					blind++
				}
				if answer, err := racers[winner].ask("release"); answer != "released" {
					t.Fatalf("round %d: the winner's release: %q, %v", round, answer, err)
				}
			}
			t.Logf("%d processes, %d rounds, each with one owner; %d won without an answer", processes, rounds, blind)
		})
	}
}

// raceOnce gives the number of the only winner.
func raceOnce(t *testing.T, racers []*racer, round int) int {
	t.Helper()
	answers := make([]string, len(racers))
	var wg sync.WaitGroup
	for i, r := range racers {
		wg.Go(func() {
			answer, err := r.ask(fmt.Sprintf("acquire %d", round))
			if err != nil {
				answer += err.Error()
			}
			answers[i] = answer
		})
	}
	wg.Wait()
	winner := -1
	for i, answer := range answers {
		if answer != "won" {
			continue
		}
		if winner >= 0 {
			t.Fatalf("round %d: %s and %s have the lock", round, racers[winner].name, racers[i].name)
		}
		winner = i
	}
	if winner < 0 {
		t.Fatalf("round %d: nobody has the lock: %q", round, answers)
	}
	for i, answer := range answers {
		if want := fmt.Sprintf("held %s-%d", racers[winner].name, round); i != winner && answer != want {
			t.Errorf("round %d: %s was told %q, not %q", round, racers[i].name, answer, want)
		}
	}
	return winner
}
