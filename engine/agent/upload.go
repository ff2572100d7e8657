package agent

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"flydeploy/text"
)

// Upload is a file that a job has made on the temporary machine.
type Upload string

// What is uploaded.
const (
	UploadTarball Upload = "upload"
	UploadAgent   Upload = "upload_agent"
)

// Send PUTs the file from the temporary machine to a presigned URL with the headers that were signed, and gives the HTTP
// status of the answer (412: the object exists already). caCerts as in Order.
func (u Upload) Send(ctx context.Context, exec Exec, id, root, putURL string, headers map[string]string, caCerts string, progress func(done, total int64)) (int, error) {
	form := url.Values{"url": {putURL}, "cacerts": {caCerts}, "file": {"upgrade.tar.gz"}}
	for name, value := range headers {
		switch strings.ToLower(name) {
		case "host", "content-length", "connection":
		default:
			form.Set("-"+name, value)
		}
	}
	doing := "uploading the tarball"
	if u == UploadAgent {
		doing = "uploading the compiled agent"
		form.Set("file", "agent")
	}
	job := job{exec: exec, name: string(u), works: "upload", dir: jobDir(id), root: root, form: form, secret: query(putURL), doing: doing}
	var answer struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
		Error  string `json:"error"`
	}
	if err := job.result(ctx, progress, &answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, &Refusal{"upload_failed", fmt.Sprintf("%s: %s", job.doing, printable(answer.Error, 400))}
	}
	if answer.Status < 200 || answer.Status > 299 {
		return answer.Status, &Refusal{"upload_failed", job.refused(answer.Status, answer.Body)}
	}
	return answer.Status, nil
}

// refused words that the storage refuses a request.
func (j job) refused(status int, body string) string {
	return fmt.Sprintf("%s: the storage answered %d: %s", j.doing, status, storageError(body, j.secret))
}

// query is the part of a presigned URL that no error may show.
func query(presigned string) string {
	_, query, _ := strings.Cut(presigned, "?")
	return query
}

var storageSays = regexp.MustCompile(`(?s)<Code>(.*?)</Code>.*?<Message>(.*?)</Message>`)

// storageError is what the storage says of a refusal.
func storageError(body, secret string) string {
	body = text.Redact(body, secret)
	if says := storageSays.FindStringSubmatch(body); says != nil {
		return printable(says[1], 80) + ": " + printable(says[2], 200)
	}
	return printable(body, 300)
}
