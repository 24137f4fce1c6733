{{- define "portcullis.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* What the objects of the release are called. */}}
{{- define "portcullis.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else if contains (include "portcullis.name" .) .Release.Name }}
{{- .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "portcullis.name" .) | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* For objects without a namespace, so that two releases do not meet. */}}
{{- define "portcullis.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "portcullis.fullname" .) }}
{{- end }}

{{- define "portcullis.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{ include "portcullis.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: portcullis
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "portcullis.selector" -}}
app.kubernetes.io/name: {{ include "portcullis.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portcullis.operator.selector" -}}
{{ include "portcullis.selector" . }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "portcullis.dataPlane.selector" -}}
{{ include "portcullis.selector" . }}
app.kubernetes.io/component: data-plane
{{- end }}

{{- define "portcullis.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{- define "portcullis.postgresql" -}}
{{- if eq .Values.database.kind "postgresql" }}true{{ end }}
{{- end }}

{{/* As many data-plane replicas as asked for, or as the database bears. */}}
{{- define "portcullis.dataPlane.replicas" -}}
{{- if kindIs "invalid" .Values.dataPlane.replicas }}
{{- ternary 3 1 (eq .Values.database.kind "postgresql") }}
{{- else }}
{{- .Values.dataPlane.replicas }}
{{- end }}
{{- end }}

{{/* What every pod has in common: the restricted profile of the Pod Security Standards. */}}
{{- define "portcullis.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch # else a restart would open the private folders of a volume to its group
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "portcullis.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The environment by which both programs know their proxy. */}}
{{- define "portcullis.egressProxy" -}}
{{- $proxy := .Values.egressProxy }}
{{- if or $proxy.url $proxy.existingSecret.name }}
{{- range list "HTTPS_PROXY" "HTTP_PROXY" }}
- name: {{ . }}
  {{- if $proxy.existingSecret.name }}
  valueFrom: {secretKeyRef: {name: {{ $proxy.existingSecret.name }}, key: {{ $proxy.existingSecret.key }}}}
  {{- else }}
  value: {{ $proxy.url | quote }}
  {{- end }}
{{- end }}
- {name: NO_PROXY, value: {{ join "," $proxy.noProxy | quote }}}
{{- end }}
{{- end }}

{{/* How both programs open the keys: arguments, mounts and volumes. */}}
{{- define "portcullis.keys.args" -}}
{{- $transit := .Values.keys.transit }}
{{- if eq .Values.keys.encryption "transit" }}
- --keys-encryption=transit
- --transit-address={{ $transit.address }}
- --transit-key={{ $transit.key }}
- --transit-mount={{ $transit.mount }}
{{- with $transit.namespace }}
- --transit-namespace={{ . }}
{{- end }}
{{- if $transit.kubernetes.role }}
- --transit-kubernetes-role={{ $transit.kubernetes.role }}
- --transit-kubernetes-mount={{ $transit.kubernetes.mount }}
{{- if $transit.kubernetes.audience }}
- --transit-service-account-token=/etc/portcullis/transit-account/token
{{- end }}
{{- else }}
- --transit-token-file=/etc/portcullis/transit-token/{{ $transit.tokenSecret.key }}
{{- end }}
{{- if $transit.caConfigMap.name }}
- --transit-ca=/etc/portcullis/transit-ca/{{ $transit.caConfigMap.key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "portcullis.keys.mounts" -}}
{{- $transit := .Values.keys.transit }}
{{- if eq .Values.keys.encryption "transit" }}
{{- if not $transit.kubernetes.role }}
- {name: transit-token, mountPath: /etc/portcullis/transit-token, readOnly: true}
{{- else if $transit.kubernetes.audience }}
- {name: transit-account, mountPath: /etc/portcullis/transit-account, readOnly: true}
{{- end }}
{{- if $transit.caConfigMap.name }}
- {name: transit-ca, mountPath: /etc/portcullis/transit-ca, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "portcullis.keys.volumes" -}}
{{- $transit := .Values.keys.transit }}
{{- if eq .Values.keys.encryption "transit" }}
{{- if not $transit.kubernetes.role }}
- {name: transit-token, secret: {secretName: {{ $transit.tokenSecret.name }}}}
{{- else if $transit.kubernetes.audience }}
- name: transit-account
  projected:
    sources:
      - serviceAccountToken: {audience: {{ $transit.kubernetes.audience | quote }}, expirationSeconds: 3600, path: token}
{{- end }}
{{- if $transit.caConfigMap.name }}
- {name: transit-ca, configMap: {name: {{ $transit.caConfigMap.name }}}}
{{- end }}
{{- end }}
{{- end }}

{{/* How to place pods: (dict "values" .Values.operator "selector" (include …) "zones" bool) */}}
{{- define "portcullis.placement" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- $.selector | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- end }}
{{- end }}

{{/* What no single value's type can say. The schema says most of it too; this says it in words. */}}
{{- define "portcullis.check" -}}
{{- if eq .Values.database.kind "sqlite" }}
{{- if ne (include "portcullis.dataPlane.replicas" .) "1" }}
{{- fail "database.kind sqlite serves from exactly one data-plane replica: leave dataPlane.replicas out, or choose database.kind postgresql" }}
{{- end }}
{{- if .Values.dataPlane.autoscaling.enabled }}
{{- fail "database.kind sqlite cannot be scaled: turn dataPlane.autoscaling.enabled off, or choose database.kind postgresql" }}
{{- end }}
{{- else if not .Values.database.postgresql.existingSecret.name }}
{{- fail "database.kind postgresql needs database.postgresql.existingSecret.name: a Secret of the release's namespace whose key holds the URL" }}
{{- end }}
{{- if eq .Values.publication.namespace .Release.Namespace }}
{{- fail "publication.namespace must be a namespace of its own: whoever may read Secrets beside the pods could read the keys" }}
{{- end }}
{{- if and .Values.egressProxy.url .Values.egressProxy.existingSecret.name }}
{{- fail "egressProxy.url and egressProxy.existingSecret.name both name a proxy: leave one out" }}
{{- end }}
{{- if eq .Values.keys.encryption "transit" }}
{{- if not .Values.keys.transit.address }}
{{- fail "keys.encryption transit needs keys.transit.address: the URL of HashiCorp Vault or OpenBao" }}
{{- end }}
{{- if eq (empty .Values.keys.transit.kubernetes.role) (empty .Values.keys.transit.tokenSecret.name) }}
{{- fail "keys.encryption transit needs one way to sign in: keys.transit.kubernetes.role or keys.transit.tokenSecret.name" }}
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.enabled needs ingress.host: the host of McpGateway's publicUrl" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the Gateways that it attaches to" }}
{{- end }}
{{- if gt (int .Values.dataPlane.autoscaling.minReplicas) (int .Values.dataPlane.autoscaling.maxReplicas) }}
{{- fail "dataPlane.autoscaling.minReplicas is greater than maxReplicas" }}
{{- end }}
{{- end }}
