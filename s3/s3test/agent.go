// Package s3test is for tests with real buckets.
package s3test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/s3"
)

// Agent is a compiled agent that the tests of a package share: to compile it takes 5 s of CPU time, and is the same for each of
// them. The zero value is none.
type Agent struct {
	mu   sync.Mutex
	made engine.CompiledAgent
	file []byte
}

// Keep takes over the agent that a deploy has compiled and put into its bucket. The first one is kept.
func (a *Agent) Keep(ctx context.Context, bucket *s3.Bucket, made engine.CompiledAgent) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil {
		return nil
	}
	get, err := bucket.PresignGet(ctx, key(made), time.Minute)
	var file bytes.Buffer
	if err == nil {
		err = Transfer(ctx, http.MethodGet, get, nil, nil, &file)
	}
	if err != nil {
		return fmt.Errorf("keep the agent: %w", err)
	}
	if int64(file.Len()) == made.Size {
		a.made, a.file = made, file.Bytes()
	}
	return nil
}

// Give sees to it that a bucket has the agent. Without one made is the zero value.
func (a *Agent) Give(ctx context.Context, bucket *s3.Bucket) (made engine.CompiledAgent, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return engine.CompiledAgent{}, nil
	}
	if _, err := bucket.Stat(ctx, key(a.made)); err == nil {
		return a.made, nil
	}
	put, headers, err := bucket.PresignPut(ctx, key(a.made), a.made.Size, a.made.SHA256, time.Minute)
	if err == nil {
		err = Transfer(ctx, http.MethodPut, put, headers, bytes.NewReader(a.file), io.Discard)
	}
	if err != nil {
		return engine.CompiledAgent{}, fmt.Errorf("give the agent: %w", err)
	}
	return a.made, nil
}

// key is that of the object. The bucket's app is counter.
func key(made engine.CompiledAgent) string {
	if made.URL != "" {
		return "releases/" + path.Base(made.URL)
	}
	return fmt.Sprintf("releases/counter-agent-%.12s.beams", made.SHA256)
}

// Transfer sends body to a presigned URL, or gets what is there.
func Transfer(ctx context.Context, method, url string, headers map[string]string, body io.Reader, to io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, method, url, body)
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
