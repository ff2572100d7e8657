package local

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// rawRequest is a request to the app as no client library makes it, with the deploy token.
func rawRequest(t *testing.T, f *Fly, method, path, body string) (*http.Response, string) {
	t.Helper()
	return rawRequestAs(t, f, "Bearer "+f.Token(), method, "/v1/apps/sample"+path, body)
}

func rawRequestAs(t *testing.T, f *Fly, authorization, method, path, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, f.APIURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

func TestCreateRefusals(t *testing.T) {
	f := startProcesses(t)
	for body, says := range map[string]string{
		`{}`: "config.image is required",
		`{"config":{"image":"registry.fly.io/sample:none"}}`:                "MANIFEST_UNKNOWN",
		`{"config":{"image":"docker.io/library/redis:7"}}`:                  "only images of registry.fly.io are here",
		`{"config":{"image":"registry.fly.io/sample:x","env":{"A":["b"]}}}`: "invalid_argument",
	} {
		response, answer := rawRequest(t, f, http.MethodPost, "/machines", body)
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(answer, says) {
			t.Errorf("create %s: %d %s, want 400 and %q", body, response.StatusCode, answer, says)
		}
	}
	leased, body := rawRequest(t, f, http.MethodPost, "/machines", `{"skip_launch":true,"lease_ttl":60,"config":{"image":"`+pushShell(t, f)+`"}}`)
	if leased.StatusCode != http.StatusOK || !strings.Contains(body, `"nonce":"`) || !strings.Contains(body, `"state":"created"`) {
		t.Errorf("create with a lease: %d %s", leased.StatusCode, body)
	}
}
