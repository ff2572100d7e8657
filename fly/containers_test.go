package fly_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"flydeploy/fly"
	"flydeploy/fly/local"
)

func TestContainerForCommands(t *testing.T) {
	t.Parallel()
	const list = `[{"id":"none","state":"started","config":{}},
{"id":"one","state":"started","config":{"containers":[{"name":"app","image":"a"}]}},
{"id":"two","state":"started","config":{"containers":[{"name":"proxy","image":"p"},{"name":"app","image":"a"}]}},
{"id":"both","state":"started","config":{"containers":[{"name":"rabbit","image":"p"},{"name":"app","image":"a"}]}},
{"id":"down","state":"started","config":{"containers":[{"name":"proxy","image":"p"},{"name":"web","image":"a"}]}}]`
	for _, try := range []struct{ wanted, machine, container, says string }{
		{"", "none", "", ""}, {"", "one", "app", ""}, {"", "two", "app", ""}, {"", "unknown", "", ""},
		{"", "both", "", "has several containers with an Erlang VM: rabbit, app"}, {"", "down", "", "an Erlang VM runs in none of them"}, {"rabbit", "both", "rabbit", ""},
		{"app", "none", "", ""}, {"app", "one", "app", ""}, {"app", "two", "app", ""}, {"app", "unknown", "", ""},
		{"web", "none", "", ""}, {"web", "one", "", "has no container web"}, {"web", "two", "", "The machine's are proxy, app"},
	} {
		sent := []string{} // apart from the search for an Erlang VM
		mux := http.NewServeMux()
		mux.HandleFunc("GET /v1/apps/counter/machines", reply(200, list))
		mux.HandleFunc("POST /v1/apps/counter/machines/{id}/exec", func(w http.ResponseWriter, r *http.Request) {
			asked := decode[struct {
				Container string
				Command   []string
			}](t, r)
			if asked.Command[0] == "/bin/sh" {
				reply(200, map[bool]string{true: `{"stdout":"vm\n"}`, false: `{"stdout":"none\n"}`}[asked.Container == "app" || asked.Container == "rabbit"])(w, r)
				return
			}
			sent = append(sent, asked.Container)
			reply(200, `{}`)(w, r)
		})
		server := httptest.NewServer(mux)
		c, err := fly.New(fly.Options{App: "counter", Token: testToken, BaseURL: server.URL, Container: try.wanted})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Machines(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = c.Exec(t.Context(), try.machine, []string{"true"}, "", time.Second)
		server.Close()
		if try.says != "" {
			wantProblem(t, err, "container")
			if !strings.Contains(err.Error(), try.says) || len(sent) > 0 {
				t.Errorf("%+v: sent %q, %v", try, sent, err)
			}
		} else if err != nil || len(sent) != 1 || sent[0] != try.container {
			t.Errorf("%+v: sent %q, %v", try, sent, err)
		}
	}
}

func TestContainersOnTheLocalFly(t *testing.T) {
	t.Parallel()
	f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), Isolation: local.Processes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	image := pushRelease(t, f, "deployment-1")
	id, err := f.Launch(t.Context(), local.MachineSpec{Image: image, NoService: true, Containers: []string{"app", "proxy"}})
	if err != nil {
		t.Fatal(err)
	}
	run := func(container string) error {
		c, err := fly.New(fly.Options{App: "counter", Token: f.Token(), BaseURL: f.APIURL(), Container: container})
		if err == nil {
			_, err = c.Machines(t.Context())
		}
		if err == nil {
			_, err = c.Exec(t.Context(), id, []string{"/bin/true"}, "", time.Second)
		}
		return err
	}
	if err := run("app"); err != nil {
		t.Error(err)
	}
	wantProblem(t, run(""), "container")
}
