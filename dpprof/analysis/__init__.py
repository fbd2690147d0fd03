"""PLACEHOLDER analysis"""
