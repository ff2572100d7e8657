package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/fly/local"
	"flydeploy/s3"
)

// shelf is a bucket without machines.
type shelf struct {
	*s3.Bucket
	t      *testing.T
	config s3.Config
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), Isolation: local.Processes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	info := f.S3()
	s := &shelf{t: t, config: s3.Config{
		Endpoint: info.Endpoint, Region: info.Region, Bucket: info.Bucket, App: "counter",
		AccessKeyID: info.AccessKeyID, SecretAccessKey: info.SecretAccessKey,
	}}
	s.Bucket = s.open()
	return s
}

func (s *shelf) open() *s3.Bucket {
	s.t.Helper()
	b, err := s3.Open(s.t.Context(), s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// later opens the bucket as if its clock had gone on.
func (s *shelf) later(by time.Duration) *s3.Bucket {
	c := s.config
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			resp.Header.Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
		}
		return resp, err
	})
	return (&shelf{t: s.t, config: c}).open()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (s *shelf) put(id, name, body string) {
	s.t.Helper()
	if err := s.WriteResult(s.t.Context(), id, name, []byte(body)); err != nil {
		s.t.Fatal(err)
	}
}

// lines makes a stream of the events from to to.
func lines(from, to int) string {
	var b strings.Builder
	for seq := from; seq <= to; seq++ {
		line, _ := json.Marshal(engine.Event{V: 1, Seq: int64(seq), Attempt: 1, Phase: engine.PhaseStage, Status: engine.StatusRunning, Done: int64(seq)})
		b.Write(append(line, '\n'))
	}
	return b.String()
}

const (
	continued = `{"v":1,"type":"continued"}` + "\n"
	succeeded = `{"v":1,"type":"result","outcome":"succeeded","upgrade":{"id":"01K9000000000000000000000A"},"machines":[],"duration_ms":5}` + "\n"
)

func TestWatchFollowsAStreamPieceByPiece(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	source := record.Watch(s, "01K9000000000000000000000A", time.Millisecond)
	var seen int64
	next := func(upTo int64) {
		t.Helper()
		for seen < upTo {
			batch, err := source.Next(t.Context())
			if err != nil {
				t.Fatalf("after event %d: %v", seen, err)
			}
			for _, e := range batch {
				if seen++; e.Seq != seen {
					t.Fatalf("got event %d, want %d", e.Seq, seen)
				}
			}
		}
	}
	s.put("01K9000000000000000000000A", "events.ndjson", lines(1, 3))
	next(3)
	s.put("01K9000000000000000000000A", "events.ndjson", lines(1, 5)+`{"v":1,"seq":6,"phase":"sta`) // an upload that was cut
	next(5)
	s.put("01K9000000000000000000000A", "events.ndjson", lines(1, 8)+continued)
	s.put("01K9000000000000000000000A", "events-2.ndjson", lines(9, 9))
	next(9)
	s.put("01K9000000000000000000000A", "events-2.ndjson", lines(9, 12)+succeeded)
	next(12)
	if batch, err := source.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Fatalf("after the result: %d events, %v", len(batch), err)
	}

	all, _, err := record.ReadEvents(t.Context(), s, "01K9000000000000000000000A")
	if err != nil || len(all) != 12 {
		t.Errorf("%d recorded events: %v", len(all), err)
	}
	r, err := record.ReadResult(t.Context(), s, "01K9000000000000000000000A")
	if err != nil || r.Outcome != engine.OutcomeSucceeded || r.Upgrade.ID != "01K9000000000000000000000A" {
		t.Errorf("result %+v: %v", r, err)
	}
}

func TestWatchTellsThatAConsoleWasKilled(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put("01K9000000000000000000000A", "events.ndjson", lines(1, 2))
	s.put("01K9000000000000000000000A", "deploy.json", `{"v":1,"id":"01K9000000000000000000000A","outcome":"","running":true}`)
	source := record.Watch(s.later(2*time.Minute), "01K9000000000000000000000A", time.Millisecond)
	if batch, err := source.Next(t.Context()); err != nil || len(batch) != 2 {
		t.Fatalf("%d events: %v", len(batch), err)
	}
	_, err := source.Next(t.Context())
	wantNamed(t, err, "silent")
}

// The last thing that a killed console wrote may be a piece that goes on in the next one.
func TestAStreamWhoseNextPieceWasNeverWritten(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put("01K9000000000000000000000A", "events.ndjson", lines(1, 3)+continued)
	s.put("01K9000000000000000000000A", "deploy.json", `{"v":1,"id":"01K9000000000000000000000A","outcome":"","running":true}`)
	if all, _, err := record.ReadEvents(t.Context(), s, "01K9000000000000000000000A"); err != nil || len(all) != 3 {
		t.Errorf("%d recorded events: %v", len(all), err)
	}
	if r, err := record.ReadResult(t.Context(), s.later(2*time.Minute), "01K9000000000000000000000A"); err != nil || r.Outcome != engine.OutcomeUnfinished {
		t.Errorf("result %+v: %v", r, err)
	}
	_, err := record.ReadResult(t.Context(), s, "01Z")
	wantNamed(t, err, "no_record")
}

// onlyThese are the objects of one deploy, by name.
type onlyThese struct {
	engine.Records
	objects map[string]engine.Document
	refused string // the name of one that cannot be read
}

func (o onlyThese) Result(_ context.Context, _, name string) (engine.Document, error) {
	doc, ok := o.objects[name]
	if name == o.refused {
		return doc, errors.New("403 Forbidden")
	}
	if !ok {
		return doc, engine.ErrNotFound
	}
	return doc, nil
}

func TestWatchTellsThatAConsoleWasKilledBetweenTwoPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := record.Watch(onlyThese{objects: map[string]engine.Document{"events.ndjson": {Body: []byte(lines(1, 3) + continued)}}}, "01K9000000000000000000000A", time.Second)
		if batch, err := source.Next(t.Context()); err != nil || len(batch) != 3 {
			t.Fatalf("%d events: %v", len(batch), err)
		}
		_, err := source.Next(t.Context())
		wantNamed(t, err, "silent")
	})
}

// While an operator reads a plan, or a build prints nothing, there are no events, but the console still writes the record.
func TestWatchIsPatientWithAQuietDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		objects := map[string]engine.Document{
			"events.ndjson": {Body: []byte(lines(1, 3)), Age: 5 * time.Minute},
			"deploy.json":   {Body: []byte(`{"v":1,"id":"01K9000000000000000000000A","outcome":"","running":true}`), Age: 5 * time.Second},
		}
		source := record.Watch(onlyThese{objects: objects}, "01K9000000000000000000000A", time.Second)
		if batch, err := source.Next(t.Context()); err != nil || len(batch) != 3 {
			t.Fatalf("%d events: %v", len(batch), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		if _, err := source.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the console is alive, but the watch ended with %v", err)
		}
		objects["deploy.json"] = engine.Document{Body: objects["deploy.json"].Body, Age: 5 * time.Minute}
		_, err := source.Next(t.Context())
		wantNamed(t, err, "silent")
	})
}

// A bucket that does not say whether the console is alive is not asked for ever.
func TestWatchOfAQuietDeployWhoseRecordCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		objects := map[string]engine.Document{"events.ndjson": {Body: []byte(lines(1, 3)), Age: 5 * time.Minute}}
		source := record.Watch(onlyThese{objects: objects, refused: "deploy.json"}, "01K9000000000000000000000A", time.Second)
		if batch, err := source.Next(t.Context()); err != nil || len(batch) != 3 {
			t.Fatalf("%d events: %v", len(batch), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if _, err := source.Next(ctx); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("it ended with %v", err)
		}
	})
}

func wantNamed(t testing.TB, err error, name string) {
	t.Helper()
	var p *engine.Problem
	if !errors.As(err, &p) || p.Name != name || p.Remedy == "" {
		t.Errorf("got %v, want the problem %s with a remedy", err, name)
	}
}

// Others write to the bucket, too: newer versions, fly_deploy itself, consoles that were killed.
func TestHistoryOfWhatOthersWrote(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put("01K9000000000000000000000A", "deploy.json", `{"v":1,"id":"01K9000000000000000000000A","at":"2026-01-01T00:00:00Z","outcome":"succeeded","version":"1.0.0","owner":"ann","machines":2,"upgraded":2}`)
	s.put("01K9000000000000000000000B", "6962b14359baa1.json", `{"machine_id":"6962b14359baa1","status":"completed"}`) // fly_deploy's
	s.put("01K9000000000000000000000C", "deploy.json", `{"v":7,"id":"01K9000000000000000000000C","outcome":"succeeded","colour":"green","machines":3}`)
	s.put("01K9000000000000000000000D", "deploy.json", `{"v":1,"id":"01K9000000000000000000000D","outco`)
	s.put("01K9000000000000000000000E", "deploy.json", `{"v":1,"id":"01K9000000000000000000000E","outcome":"","running":true}`)
	s.put("01K9000000000000000000000C", "events.ndjson", strings.ReplaceAll(lines(1, 2), `"v":1`, `"v":7`))

	for _, c := range []struct {
		records engine.Records
		last    engine.Outcome
		running bool
	}{{s, "", true}, {s.later(2 * time.Minute), engine.OutcomeUnfinished, false}} {
		past, err := record.History(t.Context(), c.records, 0)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range past {
			got = append(got, fmt.Sprintf("%s:%s:%t", p.ID, p.Outcome, p.Running))
		}
		want := fmt.Sprintf("[01K9000000000000000000000E:%s:%t 01K9000000000000000000000D:unreadable:false 01K9000000000000000000000C:succeeded:false 01K9000000000000000000000A:succeeded:false]", c.last, c.running)
		if fmt.Sprint(got) != want {
			t.Errorf("history %v, want %v", got, want)
		}
	}
	if past, err := record.History(t.Context(), s, 1); err != nil || len(past) != 1 || past[0].ID != "01K9000000000000000000000E" {
		t.Errorf("the last one is %+v: %v", past, err)
	}
	_, _, err := record.ReadEvents(t.Context(), s, "01K9000000000000000000000C")
	wantNamed(t, err, "newer_version")
	_, _, err = record.ReadEvents(t.Context(), s, "01Z")
	wantNamed(t, err, "no_record")
}

// Machines count boots with an upgrade in its record; only those that have given it up are named, and only while it is recorded.
func TestHistoryNamesMachinesThatBootTheirImage(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	const a, b = "01K9000000000000000000000A", "01K9000000000000000000000B"
	for _, id := range []string{a, b} {
		s.put(id, "deploy.json", `{"v":1,"id":"`+id+`","at":"2026-01-01T00:00:00Z","outcome":"succeeded"}`)
		s.put(id, "boots-148e2.json", `{"boots":2,"gave_up":true}`)
		s.put(id, "boots-148e1.json", `{"boots":3,"gave_up":true}`)
		s.put(id, "boots-148e3.json", `{"boots":2,"gave_up":false}`)
		s.put(id, "boots-148e4.json", `{"bo`)
	}
	named := func() string {
		past, err := record.History(t.Context(), s, 0)
		if err != nil || len(past) != 2 {
			t.Fatalf("%+v, %v", past, err)
		}
		return fmt.Sprint(past[1].BootsImage, past[0].BootsImage)
	}
	if got := named(); got != "[] []" {
		t.Errorf("without current.json: %s", got)
	}
	if err := s.WriteMetadata(t.Context(), engine.Metadata{ImageRef: "r/a:1", MachineUpgrades: map[string]engine.HotUpgrade{"148e1": {ID: a}}}, ""); err != nil {
		t.Fatal(err)
	}
	if got := named(); got != "[148e1 148e2] []" {
		t.Errorf("got %s", got)
	}
}

func TestAStreamThatWasCutIsReadUpToTheCut(t *testing.T) {
	whole := lines(1, 4) + "\x00\x00garbage\n" + lines(5, 6) + succeeded
	for cut := range len(whole) {
		events, result, err := record.ParseEvents([]byte(whole[:cut]))
		if lost := bytes.Count([]byte(whole[:cut]), []byte(`"status"`)) - len(events); lost < 0 || lost > 1 {
			t.Fatalf("cut at %d: %d events", cut, len(events))
		}
		if result != nil && !strings.Contains(whole[:cut], `"duration_ms":5`) {
			t.Fatalf("cut at %d: there is a result", cut)
		}
		if len(events) == 0 {
			wantNamed(t, err, "no_events")
		}
	}
}

func TestAStreamCannotSteerTheTerminal(t *testing.T) {
	texts := map[string]string{
		`plain \\u001b \"quoted\" \n\ttab \u00e9 \ud83d\ude00`: "plain \\u001b \"quoted\" \n tab é 😀",
		`red \u001b[31m \u001B]0;title\u0007 \b\f`:             "red    ",
		"\u009b31m \u202eright to left":                        "31m right to left",
		`\u009b31m \u202e`:                                     "31m ",
	}
	for text, want := range texts {
		events, _, err := record.ParseEvents([]byte(`{"v":1,"seq":1,"phase":"stage","status":"running","text":"` + text + `"}`))
		if err != nil || events[0].Text != want {
			t.Errorf("%s: %q, %v", text, events[0].Text, err)
		}
	}
}

func TestReplayKeepsThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var events []engine.Event
		for _, offset := range []int{0, 0, 1000, 4000, 3999, 10000} { // clocks may step back a little
			events = append(events, engine.Event{At: at.Add(time.Duration(offset) * time.Millisecond)})
		}
		for _, c := range []struct {
			speed float64
			want  string
		}{{1, "2@0s 1@1s 2@4s 1@10s"}, {4, "2@0s 1@250ms 2@1s 1@2.5s"}, {0, "6@0s"}} {
			source, began := record.Replay(events, c.speed), time.Now()
			var got []string
			for {
				batch, err := source.Next(context.Background())
				if errors.Is(err, io.EOF) {
					break
				}
				got = append(got, fmt.Sprintf("%d@%s", len(batch), time.Since(began)))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("at speed %v: %v, want %s", c.speed, got, c.want)
			}
		}
	})
}

// An event whose time is damaged does not keep a replay waiting for years.
func TestAReplayGoesOnAfterADamagedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		source := record.Replay([]engine.Event{{Seq: 1, At: at}, {Seq: 2, At: at.AddDate(100, 0, 0)}, {Seq: 3, At: at.Add(time.Second)}}, 1)
		begun := time.Now()
		seen := 0
		for {
			batch, err := source.Next(t.Context())
			if err != nil {
				break
			}
			seen += len(batch)
		}
		if seen != 3 || time.Since(begun) > time.Minute {
			t.Errorf("%d events in %s", seen, time.Since(begun))
		}
	})
}
