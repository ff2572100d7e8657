package described

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tiny describes one list: SERVER and PATHS are what differs between Fly's descriptions of different times.
const tiny = `{"servers":[{"url":"SERVER"}],"paths":{"PATHS/apps/{app_name}/machines":{"get":{
	"parameters":[{"name":"app_name","in":"path","required":true},{"name":"limit","in":"query","schema":{"type":"integer"}},{"name":"metadata.{key}","in":"query","schema":{"type":"string"}}],
	"responses":{"200":{"content":{"application/json":{"schema":{"type":"array","items":{"$ref":"#/components/schemas/Machine"}}}}}}}}},
	"components":{"schemas":{"Machine":{"type":"object","properties":{"id":{"type":"string"},"state":{"type":"string","enum":["started","stopped"]}}},"ErrorResponse":{"type":"object","properties":{"error":{"type":"string"}}}}}}`

func TestRequestsAndAnswersAreHeldAgainstTheDescription(t *testing.T) {
	for what, test := range map[string]struct {
		path, answer string
		status       int
		wrong        []string
	}{
		"as described":       {"/v1/apps/a/machines?limit=1&metadata.role=web", `[{"id":"1","state":"started"}]`, 200, nil},
		"an error":           {"/v1/apps/a/machines?limit=none", `{"error":"no"}`, 400, nil},
		"another path":       {"/v1/apps/a/volumes", `[]`, 200, []string{"GET /v1/apps/a/volumes is not described"}},
		"another parameter":  {"/v1/apps/a/machines?tag.role=web", `[]`, 200, []string{"the parameter tag.role is not described"}},
		"no number":          {"/v1/apps/a/machines?limit=all", `[]`, 200, []string{"the parameter limit is no integer"}},
		"another value":      {"/v1/apps/a/machines", `[{"state":"asleep"}]`, 200, []string{"answer[].state is none of [started stopped]"}},
		"another field":      {"/v1/apps/a/machines", `[{"name":"1"}]`, 200, []string{"answer[].name is not described"}},
		"null":               {"/v1/apps/a/machines", `[{"id":null}]`, 200, []string{"answer[].id is null"}},
		"an error in words":  {"/v1/apps/a/machines", `not here`, 404, []string{"404 is no JSON"}},
		"another status":     {"/v1/apps/a/machines", `[]`, 201, []string{"the status 201 is not described"}},
		"an object, no list": {"/v1/apps/a/machines", `{}`, 200, []string{"answer is no array"}},
	} {
		for server, paths := range map[string]string{"https://api.test/v1": "", "https://api.test": "/v1"} {
			t.Run(what+"/"+server, func(t *testing.T) {
				text := strings.NewReplacer("SERVER", server, "PATHS", paths).Replace(tiny)
				if got := told(t, text, test.path, test.status, test.answer); !isTold(got, test.wrong) {
					t.Errorf("told %q, want %q", got, test.wrong)
				}
			})
		}
	}
}

// told gives what is told of one request and its answer.
func told(t *testing.T, description, path string, status int, answer string) (wrong []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(file, []byte(description), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	handler := d.Watch(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}), func(line string) { wrong = append(wrong, line) })
	recorded := httptest.NewRecorder()
	handler.ServeHTTP(recorded, httptest.NewRequest(http.MethodGet, path, nil))
	if recorded.Code != status || recorded.Body.String() != answer {
		t.Errorf("the answer was changed: %d %s", recorded.Code, recorded.Body)
	}
	return wrong
}

func isTold(got, want []string) bool {
	return len(got) == len(want) && !slices.ContainsFunc(want, func(w string) bool {
		return !slices.ContainsFunc(got, func(g string) bool { return strings.HasSuffix(g, w) })
	})
}
