package agent

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flydeploy/engine"
)

// smallSource compiles at once.
func smallSource() Source {
	const agent = "FlyDeployAgent_0123456789ab"
	return Source{Hash: "0123456789ab", Agent: agent, File: deflate(fileMark + "agent/agent.ex\ndefmodule " + agent + " do\nend\n")}
}

// Whatever goes wrong with the download, nothing is compiled, and the error says what and where, and not the URL.
func TestASourceThatCannotBeHad(t *testing.T) {
	t.Parallel()
	source := smallSource()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("<Error><Code>SignatureDoesNotMatch</Code><Message>GET " + r.URL.String() + "</Message></Error>"))
	}))
	t.Cleanup(refuses.Close)
	breaks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(source.File[:10])
	}))
	t.Cleanup(breaks.Close)
	secure, authority := serveTLS(t, "localhost", source.File)
	_, stranger := serveTLS(t, "localhost", nil)
	const signed = "/k?X-Amz-Signature=" + urlSecret
	for says, test := range map[string]struct{ name, url, caCerts string }{
		"connecting to 127.0.0.1:1 failed: econnrefused":  {"download_failed", "http://127.0.0.1:1" + signed, ""},
		"the storage answered 403: SignatureDoesNotMatch": {"download_failed", refuses.URL + signed, ""},
		"the connection closed":                           {"download_failed", breaks.URL + signed, ""},
		"TLS with localhost":                              {"download_failed", secure, stranger},
		"the object has more than":                        {"download_failed", serve(t, append(bytes.Clone(source.File), 0)), ""},
		"the sha256 of what the storage gave":             {"sha256_differs", serve(t, source.File[1:]), ""},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			id := newJobID(t)
			_, err := CompileAgent(t.Context(), newMachine(t).exec, id, releases[1], source, test.url, test.caCerts)
			var refused *Refusal
			if !errors.As(err, &refused) || refused.Name != test.name || !strings.HasPrefix(err.Error(), "downloading the agent's source: "+says) || strings.Contains(err.Error(), urlSecret) {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(filepath.Join(jobDir(id), "agent")); err == nil {
				t.Error("something was compiled")
			}
		})
	}
	for name, machine := range map[string]func(*node) string{
		"the console's certificates": func(*node) string { return authority },
		"the machine's own": func(n *node) string {
			bundle := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(bundle, []byte(authority), 0o644); err != nil {
				t.Fatal(err)
			}
			n.env = append(n.env, "AWS_CA_BUNDLE="+bundle)
			return ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newMachine(t)
			caCerts := machine(n)
			if made, err := CompileAgent(t.Context(), n.exec, newJobID(t), releases[1], source, secure, caCerts); err != nil || !made.Valid() {
				t.Errorf("%+v %v", made, err)
			}
		})
	}
}

// An exec whose answer is lost, or which is cut off before it has read all, is repeated: the job runs once. No word of it shows the URL.
func TestAJobThatIsStartedAgain(t *testing.T) {
	t.Parallel()
	source := smallSource()
	var downloads atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		downloads.Add(1)
		_, _ = w.Write(source.File)
	}))
	t.Cleanup(server.Close)
	machine, starts := newMachine(t), 0
	exec := func(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
		for _, word := range command {
			if strings.Contains(word, urlSecret) {
				t.Error("the list of processes shows the URL")
			}
		}
		if command[2] == scriptJob {
			if starts++; starts == 1 {
				stdin = stdin[:len(stdin)-10]
			}
		}
		out, err := machine.exec(ctx, command, stdin, timeout)
		if command[2] == scriptJob && starts == 2 {
			return engine.Output{}, engine.ErrUnknownOutcome
		}
		return out, err
	}
	id := newJobID(t)
	for range 2 {
		if _, err := CompileAgent(t.Context(), exec, id, releases[1], source, server.URL+"/k?X-Amz-Signature="+urlSecret, ""); !errors.Is(err, engine.ErrUnknownOutcome) {
			t.Fatalf("an answer that is lost: %v", err)
		}
	}
	made, err := CompileAgent(t.Context(), exec, id, releases[1], source, server.URL+"/k?X-Amz-Signature="+urlSecret, "")
	if err != nil || !made.Valid() || downloads.Load() != 1 || starts != 3 {
		t.Errorf("%+v %v, %d downloads, %d starts", made, err, downloads.Load(), starts)
	}
}

// A disk that has no room, before the job or for what it makes, is told of.
func TestAJobWithoutRoom(t *testing.T) {
	t.Parallel()
	source := smallSource()
	id := newJobID(t)
	if err := os.WriteFile(jobDir(id), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := CompileAgent(t.Context(), newMachine(t).exec, id, releases[1], source, serve(t, source.File), "")
	if engine.AsProblem(err).Name != "temporary_disk_full" {
		t.Errorf("without a folder: %v", err)
	}
	id = newJobID(t)
	if err := os.MkdirAll(filepath.Join(jobDir(id), "agent"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = CompileAgent(t.Context(), newMachine(t).exec, id, releases[1], source, serve(t, source.File), "")
	if err == nil || !strings.Contains(err.Error(), "could not write to file") || strings.Contains(err.Error(), urlSecret) {
		t.Errorf("without a file: %v", err)
	}
}
