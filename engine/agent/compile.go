package agent

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"flydeploy/engine"
)

// CompileAgent has a temporary machine, as MakeTarball's, download a source by a presigned URL and compile it. It compiles no other bytes than
// the source's. caCerts as in Order. Idempotent by id.
func CompileAgent(ctx context.Context, exec Exec, id, root string, source Source, getURL, caCerts string) (engine.CompiledAgent, error) {
	form := url.Values{
		"url": {getURL}, "sha256": {source.SHA256()}, "size": {strconv.Itoa(len(source.File))}, "agent": {source.Agent}, "cacerts": {caCerts},
	}
	job := job{exec: exec, name: "agent", dir: jobDir(id), root: root, form: form, secret: query(getURL), doing: "compiling the agent"}
	const downloading = "downloading the agent's source"
	var made struct {
		Agent  engine.CompiledAgent `json:"agent"`
		Status int                  `json:"status"` // of a download that the storage refuses
		Body   string               `json:"body"`
		Name   string               `json:"name"` // of a download that fails
		Error  string               `json:"error"`
	}
	err := job.result(ctx, nil, &made)
	a := made.Agent
	switch {
	case err != nil:
		return a, err
	case made.Status != 0:
		job.doing = downloading
		return a, &Refusal{"download_failed", job.refused(made.Status, made.Body)}
	case made.Name == "download_failed" || made.Name == "sha256_differs":
		return a, &Refusal{made.Name, fmt.Sprintf("%s: %s", downloading, printable(made.Error, 400))}
	case made.Error != "":
		return a, &Refusal{"tarball_failed", fmt.Sprintf("%s: %s", job.doing, printable(made.Error, 400))}
	case !a.Valid():
		return a, fmt.Errorf("%s: the compiled agent is not valid", job.doing)
	}
	a.OTP, a.Elixir, a.Source = printable(a.OTP, 80), printable(a.Elixir, 80), source.Hash
	return a, nil
}
