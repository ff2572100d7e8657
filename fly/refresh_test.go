package fly_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/flyio"

	"flydeploy/fly"
)

// loginToken makes a token that needs a discharge from auth, as the token of a login does.
func loginToken(t *testing.T, auth string) string {
	t.Helper()
	m, err := macaroon.New([]byte("kid"), flyio.LocationPermission, macaroon.NewSigningKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Add3P(macaroon.NewEncryptionKey(), auth); err != nil {
		t.Fatal(err)
	}
	token, err := m.String()
	if err != nil {
		t.Fatal(err)
	}
	return "FlyV1 " + token
}

// While one request refreshes the tokens, another that waits for it can be given up.
func TestWaitingForARefreshEndsWithItsContext(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer auth.Close()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }))
	defer api.Close()
	c, err := fly.New(fly.Options{App: "counter", Token: loginToken(t, auth.URL), BaseURL: api.URL})
	if err != nil {
		t.Fatal(err)
	}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := c.Machines(t.Context())
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	go func() {
		_, err := c.Machines(ctx)
		second <- err
	}()
	select {
	case err := <-second:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the one that was given up: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("a request that was given up still waits for the tokens")
	}
	close(answer)
	if err := <-first; err != nil {
		t.Errorf("tokens that cannot be refreshed are used as they are: %v", err)
	}
}
