package api

import (
	"encoding/json"
	"net/http"

	"flydeploy/fly/local/fault"
)

// AlterExec does the work and changes the result that exec answers with. Answers that hold no result stay as they are.
func AlterExec(change func(*ExecResult)) fault.Effect {
	return fault.Alter(func(body []byte) []byte {
		var result ExecResult
		if err := json.Unmarshal(body, &result); err != nil {
			return body
		}
		change(&result)
		changed, err := json.Marshal(result)
		if err != nil {
			return body
		}
		return changed
	})
}

// PayloadTooLarge answers an exec as the platform does for a request of more than 16 KB: a success with the refusal in
// the place of the output. The work is not done.
func PayloadTooLarge() fault.Effect {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			writeResult(w, tooLarge())
		})
	}
}
