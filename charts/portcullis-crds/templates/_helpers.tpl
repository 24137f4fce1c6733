{{- define "portcullis-crds.metadata" -}}
annotations:
  helm.sh/resource-policy: keep
  {{- with .Values.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
labels:
  app.kubernetes.io/name: portcullis-crds
  app.kubernetes.io/part-of: portcullis
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
  {{- with .Values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
