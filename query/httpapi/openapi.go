package httpapi

import (
	_ "embed"
	"net/http"
)

// openAPI describes all calls of the handler.
//
//go:embed openapi.json
var openAPI []byte

// description serves the OpenAPI description, which holds no data.
func (h *Handler) description(x *exchange) error {
	x.send(http.StatusOK, openAPI)
	return nil
}
