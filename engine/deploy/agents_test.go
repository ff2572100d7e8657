package deploy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
)

// compiledOnce is the agent that the first deploy of all tests has compiled: to compile it takes 7 s of CPU time, and is the same for
// each of them.
var compiledOnce struct {
	sync.Mutex
	agent engine.CompiledAgent
	file  []byte
}

// agents remembers compiledOnce as a console does, and sees to it that the bucket of this world has it.
type agents struct{ *world }

// Known implements engine.Agents.
func (a agents) Known(source, otp, elixir string) (engine.CompiledAgent, bool) {
	compiledOnce.Lock()
	defer compiledOnce.Unlock()
	made := compiledOnce.agent
	if made.Source != source || made.OTP != otp || made.Elixir != elixir {
		return engine.CompiledAgent{}, false
	}
	key := "releases/" + path.Base(made.URL)
	if _, err := a.bucket().Stat(a.t.Context(), key); err == nil {
		return made, true
	}
	put, headers, err := a.bucket().PresignPut(a.t.Context(), key, made.Size, made.SHA256, time.Minute)
	if err == nil {
		err = transfer(a.t, http.MethodPut, put, headers, bytes.NewReader(compiledOnce.file), io.Discard)
	}
	if err != nil {
		a.t.Errorf("put the agent: %v", err)
	}
	return made, err == nil
}

// Remember implements engine.Agents. The file is not in the bucket yet: see keep.
func (a agents) Remember(engine.CompiledAgent) error { return nil }

// keep takes over the agent of a deploy that has compiled it.
func (a agents) keep(made engine.CompiledAgent) {
	compiledOnce.Lock()
	defer compiledOnce.Unlock()
	if made.URL == "" || compiledOnce.file != nil {
		return
	}
	get, err := a.bucket().PresignGet(a.t.Context(), "releases/"+path.Base(made.URL), time.Minute)
	var file bytes.Buffer
	if err == nil {
		err = transfer(a.t, http.MethodGet, get, nil, nil, &file)
	}
	if err == nil && int64(file.Len()) == made.Size { // else that deploy was a dry run, or has lost its storage
		compiledOnce.agent, compiledOnce.file = made, file.Bytes()
	}
}

// transfer sends body to a presigned URL, or gets what is there.
func transfer(t testing.TB, method, url string, headers map[string]string, body io.Reader, to io.Writer) error {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		return err
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the storage answered %s", answer.Status)
	}
	_, err = io.Copy(to, answer.Body)
	return err
}
