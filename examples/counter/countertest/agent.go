package countertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/kept"
)

var compiles sync.Mutex

// Agent has the agent compiled and kept for the deploys of all tests on this computer, by one of them: where each did that for itself, they
// would take the longer part of a minute of CPU.
func Agent(t testing.TB) {
	t.Helper()
	compiles.Lock()
	defer compiles.Unlock()
	source, err := agent.SourceHash()
	if err != nil {
		t.Fatal(err)
	}
	folder, isFolder := kept.Agents().(kept.Folder)
	if !isFolder {
		return // without a cache folder each deploy compiles it
	}
	if err := os.MkdirAll(string(folder), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(string(folder)+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if there, _ := filepath.Glob(filepath.Join(string(folder), source+"-*.beams")); len(there) > 0 {
		return
	}
	made, file := compiled(t)
	if err := folder.Keep(made, file); err != nil {
		t.Fatal(err)
	}
}

// compiled has the sample's release compile the agent, as the temporary machine does.
func compiled(t testing.TB) (engine.CompiledAgent, []byte) {
	t.Helper()
	source, err := agent.AgentSource()
	if err != nil {
		t.Fatal(err)
	}
	uploaded := make(chan []byte, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", strconv.Itoa(len(source.File)))
			_, _ = w.Write(source.File)
		} else if body, err := io.ReadAll(r.Body); err == nil {
			uploaded <- body
		}
	}))
	defer server.Close()
	root, id, home := Release(t, 1), agent.NewID("test"), t.TempDir()
	here := func(ctx context.Context, command []string, stdin string, _ time.Duration) (engine.Output, error) {
		var out, errs bytes.Buffer
		c := exec.CommandContext(ctx, command[0], command[1:]...)
		c.Env, c.Stdin, c.Stdout, c.Stderr = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + home}, bytes.NewBufferString(stdin), &out, &errs
		err := c.Run()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = nil
		}
		return engine.Output{Stdout: out.String(), Stderr: errs.String(), ExitCode: c.ProcessState.ExitCode()}, err
	}
	defer func() {
		left, _ := filepath.Glob("/tmp/flydeploy-" + id + "*") // where it would be on a machine
		for _, dir := range left {
			_ = os.RemoveAll(dir)
		}
	}()
	made, err := agent.CompileAgent(t.Context(), here, id, root, source, server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	if status, err := agent.UploadAgent.Send(t.Context(), here, id, root, server.URL, nil, "", nil); err != nil || status != http.StatusOK {
		t.Fatalf("status %d, %v", status, err)
	}
	return made, <-uploaded
}
