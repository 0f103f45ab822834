"""What AWS publishes of the model card of a model package, as a JSON schema.

Written after docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html#model-card-schema (version 0.1.0 of
the schema), with the parts that a card of this project has. Stricter in two places: the published schema has its
`objective_function` without a type and its `maxItems` beside the items, where neither restricts anything.
"""

from __future__ import annotations

from typing import Any


def text(longest: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": longest}


def some(longest: int) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^.{{1,{longest}}}$"}


def each(items: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    return {"type": "array", "items": items} | ({"maxItems": most} if most else {})


def closed(required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


METRIC = closed(("name", "value"), name=some(255), notes=text(1024), value={"type": "number"})
HYPERPARAMETER = closed(("name", "value"), name=some(255), value=some(255))
SIMPLE_METRIC = closed(
    ("name", "type", "value"),
    name=some(255),
    notes=text(1024),
    type={"enum": ["number", "string", "boolean"]},
    value={"anyOf": [{"type": "number"}, text(63), {"type": "boolean"}]},
    x_axis_name=text(63),
    y_axis_name=text(63),
)
SCHEMA = closed(
    model_overview=closed(model_creator=text(1024), model_artifact=each(text(1024), 15)),
    intended_uses=closed(
        purpose_of_model=text(2048),
        intended_uses=text(2048),
        factors_affecting_model_efficiency=text(2048),
        risk_rating={"enum": ["High", "Medium", "Low", "Unknown"]},
        explanations_for_risk_rating=text(2048),
    ),
    business_details=closed(business_problem=text(2048), business_stakeholders=text(2048), line_of_business=text(2048)),
    training_details=closed(
        objective_function=closed(
            function=closed(function={"enum": ["Maximize", "Minimize"]}, facet=text(63), condition=text(63)),
            notes=text(1024),
        ),
        training_observations=text(1024),
        training_job_details=closed(
            training_arn=text(1024),
            training_datasets=each(text(1024), 15),
            training_environment=closed(container_image=each(text(1024), 15)),
            training_metrics=each(METRIC, 50),
            user_provided_training_metrics=each(METRIC, 50),
            hyper_parameters=each(HYPERPARAMETER, 100),
            user_provided_hyper_parameters=each(HYPERPARAMETER, 100),
        ),
    ),
    evaluation_details=each(
        closed(
            ("name",),
            name=some(63),
            evaluation_observation=text(2096),
            evaluation_job_arn=text(256),
            datasets=each(text(1024), 10),
            metadata={"type": "object", "additionalProperties": text(1024)},
            metric_groups=each(closed(("name", "metric_data"), name=some(63), metric_data=each(SIMPLE_METRIC))),
        )
    ),
    additional_information=closed(
        ethical_considerations=text(2048),
        caveats_and_recommendations=text(2048),
        custom_details={"type": "object", "additionalProperties": text(1024)},
    ),
)
